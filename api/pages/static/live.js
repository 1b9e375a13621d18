// How far an execution is. Now it is asked for again and again; a stream of events would be read here, too, and the
// page would not notice.

const LONGEST_PAUSE_SECONDS = 10;

/**
 * Follow an execution until it has ended.
 * @param {string} url the status URL, with its token
 * @param {(said: {state: string, message?: string, ahead?: number}) => void} tell hears every state, the last one too
 */
export async function follow(url, tell) {
  for (let pause = 1; ; ) {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
      const said = await answer.json();
      if (answer.ok) {
        tell(said);
        if (said.state !== "processing") return;
        pause = 1;
      }
    } catch {
      // The connection is away for a moment: the execution goes on without it.
    }
    await new Promise((done) => setTimeout(done, pause * 1000));
    pause = Math.min(pause * 1.5, LONGEST_PAUSE_SECONDS);
  }
}
