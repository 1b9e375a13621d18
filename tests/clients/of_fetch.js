// A call through @x402/fetch.
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { appendPaymentIdentifierToExtensions } from "@x402/extensions/payment-identifier";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const { url, inputs, identifier, key, allowedAssets, prefer } = JSON.parse(process.argv[2]);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));
payer.setSpendControls({ allowedAssets });
if (identifier) {
  payer.onBeforePaymentCreation(async ({ paymentRequired }) => {
    appendPaymentIdentifierToExtensions(paymentRequired.extensions, identifier);
  });
}
const answer = await wrapFetchWithPayment(fetch, payer)(url, {
  method: "POST",
  body: JSON.stringify(inputs),
  headers: { "Content-Type": "application/json", Prefer: prefer },
});
console.log(await answer.text());
