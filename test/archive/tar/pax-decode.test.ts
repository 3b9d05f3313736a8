import { describe, expect, test } from "bun:test";
import { decodePax } from "../../../src/archive/tar/pax-decode.ts";
import { DamagedError } from "../../../src/lib/errors.ts";
import { paxLine, seeded } from "../read-support.ts";

function decode(text: string) {
  const { path, ...rest } = decodePax(new TextEncoder().encode(text));
  return path ? { path: new TextDecoder().decode(path), ...rest } : rest;
}

describe("decodePax", () => {
  test("reads path, size and time, and passes over the rest", () => {
    const text = [
      paxLine("atime", "junk"),
      paxLine("path", "ü/=\n"),
      paxLine("size", "9663676416"),
      paxLine("mtime", "1700000000.999999999"),
      paxLine("SCHILY.xattr.user.a", "\0\xff"),
    ].join("");
    expect(decode(text)).toEqual({ path: "ü/=\n", size: 9663676416, mtime: 1700000000 });
  });

  test("reads a line of every length, over each further digit of the length", () => {
    for (let length = 1; length < 1100; length++) {
      const path = "n".repeat(length);
      expect(decode(paxLine("path", path))).toEqual({ path });
    }
  });

  test("takes the last of equal keys, and an empty value for none", () => {
    expect(decode(paxLine("path", "a") + paxLine("path", "b"))).toEqual({ path: "b" });
    expect(decode(paxLine("path", "a") + paxLine("path", ""))).toEqual({});
  });

  test.each([
    ["0", 0],
    ["-1", -1],
    ["-1.5", -2],
    ["12.", 12],
  ])("reads the time %s", (text, mtime) => {
    expect(decode(paxLine("mtime", text))).toEqual({ mtime });
  });

  test.each([
    ["6 a=bc", "doesn't end where its length says"],
    ["6 a=b\n6 a=b", "doesn't end where its length says"],
    ["99 a=b\n", "doesn't end where its length says"],
    ["5 a=b\n", "doesn't end where its length says"],
    [" a=b\n", "has no length"],
    ["06 a=b\n", "has no length"],
    ["+6 a=b\n", "has no length"],
    ["0x6 a=b\n", "has no length"],
    ["1111111111 a=b\n", "has no length"],
    ["\0\0\0\0", "has no length"],
    ["4 =\n", "has no key"],
    ["4 a\n", "has no key"],
    ["2 ", "doesn't end where its length says"],
    [paxLine("size", "-1"), "its pax size is not a number that fits"],
    [paxLine("size", "1e3"), "its pax size is not a number that fits"],
    [paxLine("size", "9007199254740992"), "its pax size is not a number that fits"],
    [paxLine("mtime", "soon"), "its pax mtime is not a time that fits"],
    [paxLine("mtime", "1e9"), "its pax mtime is not a time that fits"],
    [paxLine("GNU.sparse.major", "1"), "sparse file in GNU's own form"],
  ])("refuses %j", (text, message) => {
    expect(() => decode(text)).toThrow(message);
  });

  test("ends on any bytes, cut anywhere", () => {
    const random = seeded(4);
    const sound = new TextEncoder().encode(paxLine("path", "a/b") + paxLine("size", "77"));
    for (let round = 0; round < 20_000; round++) {
      const bytes = sound.slice(0, random() * (sound.length + 1));
      for (let i = 0; i < random() * 3; i++) bytes[random() * bytes.length] = random() * 256;
      try {
        decodePax(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DamagedError);
      }
    }
  });
});
