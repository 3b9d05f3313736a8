import { afterAll, test } from "bun:test";

const held: string[] = [];

/**
 * A test of what must hold under a fault. Those that held are printed as rows of the table in
 * docs/reliability.md when their file ends.
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
      await prove();
      held.push(`| ${fault} | ${holds} |`);
    },
    options.timeout ?? 60_000,
  );
}

afterAll(() => {
  if (held.length > 0) console.log(`\n${held.splice(0).join("\n")}`);
});
