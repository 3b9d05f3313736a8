import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

const DOCS = readFileSync(join(import.meta.dir, "../../docs/access.md"), "utf8");

test.skipIf(!needs("openssl", "htpasswd"))(
  "the lines of docs/access.md make a server with TLS and a user",
  async () => {
    const dir = tempDir();
    const [server = "", client = ""] = [...DOCS.matchAll(/```sh\n(.*?)```/gs)].map(
      ([, code]) => code,
    );
    const shell = (code: string) => {
      // The programs themselves are the test's to run; and htpasswd would ask on the terminal.
      const lines = code.replace(/^prombackup.*/m, "").replaceAll("$(hostname)", "localhost");
      const typed = lines.replace("htpasswd -nBC 10", "printf secret | htpasswd -inBC 10");
      const done = Bun.spawnSync(["sh", "-ec", typed], { cwd: dir });
      expect([done.exitCode, typed]).toEqual([0, typed]);
    };
    shell(server);
    mkdirSync(join(dir, "snapshots"));
    const flags = [
      "--snapshot-dir",
      join(dir, "snapshots"),
      "--web.config.file",
      join(dir, "web.yml"),
    ];
    const { url } = await startServer(flags);
    writeFileSync(join(dir, "password"), "secret\n");
    shell(client);
    const at = url.replace("127.0.0.1", "localhost");
    const args = ["list", "--server", at, "--http.config.file", join(dir, "http.yml")];
    const { status, stderr } = await run("prombackup", args);
    expect([status, stderr]).toEqual([0, "prombackup: there are no snapshots\n"]);
  },
);
