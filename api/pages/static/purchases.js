// Purchases whose answer is not there yet, kept in this browser: after a lost reply, a reload or a crash, the same
// payment goes out again, and no other.

const STORE = "purchases";

function open() {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("x402-instant", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "url" });
    opening.onsuccess = () => done(opening.result);
    opening.onerror = () => failed(opening.error);
  });
}

async function run(mode, work) {
  const database = await open();
  try {
    return await new Promise((done, failed) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result);
      transaction.onerror = transaction.onabort = () => failed(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Keep a purchase before it is sent; one for each product. */
export function keep(purchase) {
  return run("readwrite", (store) => store.put(purchase));
}

/** Find the purchase of a product that is not answered yet. */
export function find(url) {
  return run("readonly", (store) => store.get(url));
}

/** Forget a purchase: it is answered, or no money moved. */
export function forget(url) {
  return run("readwrite", (store) => store.delete(url));
}
