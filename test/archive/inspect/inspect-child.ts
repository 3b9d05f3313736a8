import { decompress } from "../../../src/archive/decompress/decompress.ts";
import { inspectArchive } from "../../../src/archive/inspect/inspect.ts";
import { readTar } from "../../../src/archive/tar/reader.ts";

/** Inspects the archive on standard input, and tells what came of it and the most memory it took. */
const result = await (async () => {
  try {
    const { bytes } = await decompress(Bun.stdin.stream());
    return { report: await inspectArchive(readTar(bytes)) };
  } catch (error) {
    return { error: String(error) };
  }
})();
// Not getrusage(2): its maximum is that of the parent if that had more when it started this.
const status = await Bun.file("/proc/self/status").text();
const megabytes = Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
await Bun.write(Bun.stdout, JSON.stringify({ ...result, megabytes }));
