import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConfigFiles } from "../../../src/lib/config/config-files.ts";
import { Failure } from "../../../src/lib/errors.ts";
import { tempDir } from "../../support/temp.ts";

async function refusal(path: string, files = new ConfigFiles()): Promise<string> {
  const error = await files.text(path).then(undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(Failure);
  return String(error);
}

describe("what can't be a configuration is refused at once", () => {
  test("a directory, a device without end, too much, what is no text, what isn't there", async () => {
    const dir = tempDir();
    const path = (name: string) => join(dir, name);
    mkdirSync(path("directory"));
    symlinkSync("/dev/zero", path("device"));
    writeFileSync(path("large"), "");
    truncateSync(path("large"), 10 * 1024 ** 3);
    writeFileSync(path("der"), Buffer.from([0x30, 0x82, 0x01, 0xff]));
    expect(await refusal(path("directory"))).toEndWith("can't be read: it is a directory");
    expect(await refusal(path("device"))).toEndWith("it is neither a file nor a pipe");
    expect(await refusal(path("large"))).toEndWith("it is over 1 MiB");
    expect(await refusal(path("der"))).toEndWith("it is not text in UTF-8");
    expect(await refusal(path("none"))).toEndWith("it is not there");
  });

  test("all of a file of just 1 MiB is read, and no mark of UTF-8 before it", async () => {
    const path = join(tempDir(), "file");
    writeFileSync(path, `\uFEFF${"a".repeat(1024 * 1024 - 3)}`);
    expect(await new ConfigFiles().text(path)).toBe("a".repeat(1024 * 1024 - 3));
  });
});

describe("a pipe", () => {
  function pipe(): string {
    const path = join(tempDir(), "pipe");
    Bun.spawnSync(["mkfifo", path]);
    return path;
  }

  test("that nobody writes to is given up, and never taken for an empty file", async () => {
    expect(await refusal(pipe())).toEndWith("it is a pipe with nothing in it");
  }, 20_000);

  test("is waited for, and what it held is kept", async () => {
    const path = pipe();
    const files = new ConfigFiles();
    const reading = files.text(path);
    const writer = Bun.spawn(["sh", "-c", `sleep 0.1; exec > ${path}; echo a; sleep 0.1; echo b`]);
    expect(await reading).toBe("a\nb\n");
    await writer.exited;
    expect(await files.changed()).toBe(false);
    expect(await new ConfigFiles(files).text(path)).toBe("a\nb\n");
  });

  test("in the place of a file that was read before is refused without a wait", async () => {
    const path = pipe();
    const message = await refusal(path, new ConfigFiles(new ConfigFiles()));
    expect(message).toEndWith("it is a pipe, which is read at the start alone");
  });
});

test("a change is seen, whatever is done to a file", async () => {
  const path = join(tempDir(), "file");
  const changes: (() => void)[] = [
    () => writeFileSync(path, "a"),
    () => writeFileSync(path, "b"),
    () => appendFileSync(path, "c"),
    () => chmodSync(path, 0o600),
    () => rmSync(path),
    () => mkdirSync(path),
  ];
  for (const change of changes) {
    const files = new ConfigFiles();
    await files.text(path).catch(() => {});
    change();
    expect(await files.changed()).toBe(true);
  }
});
