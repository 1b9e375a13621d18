// How far an execution is, as it happens: by server-sent events, or where they do not come, by asking again and again.

const LONGEST_PAUSE_SECONDS = 10;
const UNDERWAY = ["settling", "queued", "running"];
const OVER = ["done", "error"];

/**
 * Follow an execution until it has ended.
 * @param {string} url the status URL, with its token: a stream of events cannot send it in a header
 * @param {{progress: (said: {event?: string, message?: string, ahead?: number}) => void, text: (more: string) => void,
 *   again: () => void}} hear what happens on the way: states, text as it is made, and that its text begins anew
 */
export async function follow(url, hear) {
  if (await listen(url, hear)) return;
  await poll(url, hear);
}

/** Read the stream of events. False: there is none, or it broke off for good. */
function listen(url, hear) {
  return new Promise((done) => {
    const events = new EventSource(url);
    const end = (isOver) => {
      events.close();
      done(isOver);
    };
    for (const name of UNDERWAY) {
      events.addEventListener(name, (event) => hear.progress({ ...JSON.parse(event.data), event: name }));
    }
    for (const name of OVER) {
      // The browser's own `error` has no data: it connects again by itself, unless it has given up.
      events.addEventListener(name, (event) => event.data !== undefined && end(true));
    }
    events.addEventListener("delta", (event) => hear.text(JSON.parse(event.data).text));
    events.addEventListener("reset", () => hear.again());
    events.addEventListener("error", () => events.readyState === EventSource.CLOSED && end(false));
  });
}

async function poll(url, hear) {
  for (let pause = 1; ; ) {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
      const said = await answer.json();
      if (answer.ok) {
        if (said.state !== "processing") return;
        hear.progress(said);
        pause = 1;
      }
    } catch {
      // The connection is away for a moment: the execution goes on without it.
    }
    await new Promise((done) => setTimeout(done, pause * 1000));
    pause = Math.min(pause * 1.5, LONGEST_PAUSE_SECONDS);
  }
}
