import { expect, test } from "bun:test";
import { handlePage } from "../../src/http/page.ts";
import { DEFAULT_HISTORY } from "../../src/status/history.ts";
import { State } from "../../src/status/state.ts";
import { tempDir } from "../support/temp.ts";

const SILENT = { info() {}, warn() {}, error() {}, debug() {} };

test("a hostile text of the version is text on the page", async () => {
  const state = State.open(undefined, DEFAULT_HISTORY, SILENT);
  const response = await handlePage(tempDir(), state, `<script>alert("1")</script>&amp;'`);
  state.close();
  expect(await response.text()).toContain(
    "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#38;amp;&#39;</p>",
  );
});
