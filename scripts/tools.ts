import { findPrometheus } from "./prometheus.ts";

/** The programs of the system that tests run, each with the Debian package that holds it. */
export const PACKAGES = {
  bsdtar: "libarchive-tools",
  busybox: "busybox-static",
  chromium: "chromium",
  curl: "curl",
  diff: "diffutils",
  faketime: "faketime",
  flock: "util-linux",
  gzip: "gzip",
  htpasswd: "apache2-utils",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.ext4": "e2fsprogs",
  nginx: "nginx-light",
  openssl: "openssl",
  prlimit: "util-linux",
  python3: "python3",
  script: "bsdutils",
  setpriv: "util-linux",
  sha256sum: "coreutils",
  strace: "strace",
  "systemd-analyze": "systemd",
  tar: "tar",
  unshare: "util-linux",
  xz: "xz-utils",
  zstd: "zstd",
} as const;

export type SystemTool = keyof typeof PACKAGES;

/** What tests may need. Prometheus is never installed: see prometheus.ts. */
export type Tool = SystemTool | "prometheus" | "promtool";

export const SYSTEM_TOOLS = Object.keys(PACKAGES).filter((name): name is SystemTool =>
  Object.hasOwn(PACKAGES, name),
);

/** Where the program lies, or undefined if this machine hasn't got it. Downloads nothing. */
export function findTool(tool: Tool): string | undefined {
  if (tool === "prometheus" || tool === "promtool") return findPrometheus(tool);
  return Bun.which(tool) ?? undefined;
}
