// What x402's own extension makes of our signed offers and our receipt. It fetches the keys by their DID (did:web).
import {
  decodeSignedOffers,
  extractOffersFromPaymentRequired,
  extractReceiptFromResponse,
  findAcceptsObjectFromSignedOffer,
  verifyOfferSignatureJWS,
  verifyReceiptMatchesOffer,
  verifyReceiptSignatureJWS,
} from "@x402/extensions/offer-receipt";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const { url, inputs, key, allowedAssets, stranger } = JSON.parse(process.argv[2]);
const wallet = privateKeyToAccount(key);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(wallet));
payer.setSpendControls({ allowedAssets });
const body = { method: "POST", body: JSON.stringify(inputs), headers: { "Content-Type": "application/json" } };

const required = await (await fetch(url, body)).json();
const offers = decodeSignedOffers(extractOffersFromPaymentRequired(required));
const paid = await wrapFetchWithPayment(fetch, payer)(url, { ...body, headers: { ...body.headers, Prefer: "wait=30" } });
await paid.arrayBuffer(); // an unread body keeps its connection, and Node, until the door closes it
const receipt = extractReceiptFromResponse(paid);
const [offer] = offers;

// Every byte of a JWS counts; of its last character, only some bits do.
async function refusals(artifact, verify) {
  const kept = [];
  for (let at = 0; at < artifact.signature.length - 1; at += 7) {
    const other = artifact.signature[at] === "A" ? "B" : "A";
    const signature = artifact.signature.slice(0, at) + other + artifact.signature.slice(at + 1);
    try {
      await verify({ ...artifact, signature });
      kept.push(at);
    } catch {
      // as it must be
    }
  }
  return kept;
}

const [{ x, kty, crv }] = (await (await fetch(new URL("/.well-known/jwks.json", url))).json()).keys;
const jwk = { kty, crv, x };
console.log(
  JSON.stringify({
    status: paid.status,
    offers: await Promise.all(offers.map((one) => verifyOfferSignatureJWS(one.signedOffer))),
    accepted: offers.map((one) => findAcceptsObjectFromSignedOffer(one, required.accepts) ?? null),
    accepts: required.accepts,
    receipt: await verifyReceiptSignatureJWS(receipt),
    matches: verifyReceiptMatchesOffer(receipt, offer, [wallet.address]),
    matchesStranger: verifyReceiptMatchesOffer(receipt, offer, [stranger]),
    altered: [
      ...(await refusals(receipt, (one) => verifyReceiptSignatureJWS(one, jwk))),
      ...(await refusals(offer.signedOffer, (one) => verifyOfferSignatureJWS(one, jwk))),
    ],
  }),
);
