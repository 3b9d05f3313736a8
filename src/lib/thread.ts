/**
 * A worker that keeps the process alive only while something is asked of it. That it can't go on, it
 * tells once.
 */
export class Thread<Request, Response> {
  readonly #worker: Worker;
  readonly #broken: (why: string) => void;
  #ended = false;
  #asked = 0;

  /** @param broken is told why, unless {@link end} was called before */
  constructor(
    url: URL | string,
    onMessage: (response: Response) => void,
    broken: (why: string) => void,
  ) {
    this.#broken = broken;
    this.#worker = new Worker(url, { ref: false });
    this.#worker.onmessage = ({ data }: MessageEvent<Response>) => onMessage(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#break(event.message);
    };
    this.#worker.onmessageerror = () => this.#break("a message could not be read");
    this.#worker.addEventListener("close", () => this.#break("it ended unexpectedly"));
  }

  /** How many answers are awaited. */
  get asked(): number {
    return this.#asked;
  }

  /** Says something that nobody waits for. */
  tell(request: Request): void {
    this.#worker.postMessage(request);
  }

  /** Asks something; {@link answered} is to be called when the answer has come. */
  ask(request: Request): void {
    if (this.#asked++ === 0) this.#worker.ref();
    this.tell(request);
  }

  answered(): void {
    if (--this.#asked === 0) this.#worker.unref();
  }

  /** Ends the thread, whatever it does. Twice is fine. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#worker.terminate();
  }

  #break(why: string): void {
    if (this.#ended) return;
    this.end();
    this.#broken(why);
  }
}
