/** Waits until something holds; throws if it doesn't within a minute. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("not within a minute");
    await Bun.sleep(20);
  }
}
