import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { atEnd } from "./at-end.ts";
import { tempDir } from "./temp.ts";

/**
 * Starts a real nginx on loopback with these lines in its server block, and tells its URL. It ends
 * with the test, or with the test file when called outside of a test. Needs the tool `nginx`.
 */
export async function startNginx(lines: string): Promise<string> {
  const dir = tempDir();
  const port = freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(dir, "nginx.conf"),
    `daemon off; pid ${dir}/pid; error_log ${dir}/log; ${process.getuid?.() === 0 ? "user root;" : ""}
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join(" ")}
  server {
    listen 127.0.0.1:${port};
    ${lines}
  }
}
`,
  );
  const child = Bun.spawn(["nginx", "-p", dir, "-c", "nginx.conf", "-e", join(dir, "log")], {
    stdout: "ignore",
    stderr: "inherit",
  });
  atEnd(async () => {
    child.kill("SIGTERM");
    await child.exited;
  });
  const url = `http://127.0.0.1:${port}`;
  while (!(await answers(url))) {
    if (child.exitCode !== null)
      throw new Error(`nginx ended: ${await Bun.file(`${dir}/log`).text()}`);
    await Bun.sleep(20);
  }
  return url;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (response) => {
      await response.body?.cancel();
      return true;
    },
    () => false,
  );
}
