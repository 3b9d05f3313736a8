import { afterAll, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const PAGE = readFileSync(join(import.meta.dir, "../../docs/reliability.md"), "utf8");

const held: string[] = [];

/**
 * A test of what must hold under a fault. It must be a row of docs/reliability.md; the rows of those
 * that held are printed when their file ends.
 *
 * @param fault what is done to the programs
 * @param holds what holds, as it stands in the table
 */
export function fault(
  fault: string,
  holds: string,
  prove: () => Promise<void>,
  options: { readonly skip?: boolean; readonly timeout?: number } = {},
): void {
  test.skipIf(options.skip ?? false)(
    `${fault}: ${holds}`,
    async () => {
      const row = `| ${fault} | ${holds} |`;
      if (!PAGE.includes(row)) throw new Error(`docs/reliability.md lacks ${row}`);
      await prove();
      held.push(row);
    },
    options.timeout ?? 120_000,
  );
}

afterAll(() => {
  if (held.length > 0) console.log(`\n${held.splice(0).join("\n")}`);
});
