import { type BrowserContext, chromium } from "playwright-core";
import { findTool } from "../../scripts/tools.ts";
import { atEnd } from "./at-end.ts";
import { tempDir } from "./temp.ts";

/**
 * Starts a real Chromium, without a window and with a profile of its own, for which every name below
 * `.test` is this machine. It ends with the test, or with the test file when called outside of a test.
 * Needs the tool `chromium`.
 */
export async function startBrowser(): Promise<BrowserContext> {
  const context = await chromium.launchPersistentContext(tempDir(), {
    executablePath: findTool("chromium") ?? "chromium",
    // Root may have no sandbox; the pages are ours.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      ...["--host-resolver-rules=MAP *.test 127.0.0.1", "--no-proxy-server"],
      ...["--disable-gpu", "--disable-quic", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync", "--no-first-run"],
      // Fewer processes; what sites may do to each other is the same.
      ...["--renderer-process-limit=1", "--disable-site-isolation-trials"],
    ],
  });
  // Playwright would give up after half a minute.
  context.setDefaultTimeout(110_000);
  atEnd(() => context.close());
  return context;
}
