import { findPrometheus } from "./prometheus.ts";

/** The programs from outside that tests run, each with the Debian package that holds it. */
export const TOOLS = {
  bsdtar: "libarchive-tools",
  busybox: "busybox-static",
  curl: "curl",
  diff: "diffutils",
  flock: "util-linux",
  gzip: "gzip",
  prometheus: "prometheus",
  promtool: "prometheus",
  python3: "python3",
  script: "bsdutils",
  setpriv: "util-linux",
  sha256sum: "coreutils",
  "systemd-analyze": "systemd",
  tar: "tar",
  unshare: "util-linux",
  xz: "xz-utils",
  zstd: "zstd",
} as const;

export type Tool = keyof typeof TOOLS;

export function isTool(name: string): name is Tool {
  return Object.hasOwn(TOOLS, name);
}

/** Where the program lies, or undefined if this machine hasn't got it. Downloads nothing. */
export function findTool(tool: Tool): string | undefined {
  if (tool === "prometheus" || tool === "promtool") return findPrometheus(tool);
  return Bun.which(tool) ?? undefined;
}
