// x402 v2 in a page: read the offer, build what the wallet signs, and write the payment header.
// Sources: x402 specification v2, its transport for HTTP, and the scheme `exact` on EVM chains (EIP-3009).

import { chainIdOf } from "./wallets.js";

const TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ],
  TransferWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};

/** Read the offer of a 402: the header `PAYMENT-REQUIRED`. */
export function offerOf(answer) {
  return JSON.parse(fromBase64(answer.headers.get("PAYMENT-REQUIRED")));
}

/**
 * Build the authorization of one transfer.
 * @param {object} terms one member of the offer's `accepts`
 * @param {string} from the address that pays
 * @param {number} now unix time by the door's clock, in seconds
 */
export function authorizationOf(terms, from, now) {
  return {
    from,
    to: terms.payTo,
    value: terms.amount,
    validAfter: "0",
    validBefore: String(Math.floor(now) + terms.maxTimeoutSeconds),
    nonce: `0x${hex(crypto.getRandomValues(new Uint8Array(32)))}`,
  };
}

/** Build what the wallet shows and signs. */
export function typedData(terms, authorization) {
  return {
    types: TYPES,
    primaryType: "TransferWithAuthorization",
    domain: {
      name: terms.extra.name,
      version: terms.extra.version,
      chainId: Number(chainIdOf(terms.network)),
      verifyingContract: terms.asset,
    },
    message: authorization,
  };
}

/** Write the payment as the header `PAYMENT-SIGNATURE`. It names the purchase, so that a retry is known as one. */
export function headerOf(offer, terms, authorization, signature) {
  const extensions = structuredClone(offer.extensions ?? {});
  const named = extensions["payment-identifier"];
  if (named) named.info = { ...named.info, id: hex(crypto.getRandomValues(new Uint8Array(16))) };
  return toBase64(
    JSON.stringify({
      x402Version: 2,
      resource: offer.resource,
      accepted: terms,
      payload: { signature, authorization },
      extensions,
    }),
  );
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromBase64(text) {
  return new TextDecoder().decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
}

function toBase64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
