// A call through @x402/axios.
import axios from "axios";
import { wrapAxiosWithPayment, x402Client } from "@x402/axios";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { appendPaymentIdentifierToExtensions } from "@x402/extensions/payment-identifier";
import { privateKeyToAccount } from "viem/accounts";

const { url, inputs, identifier, key, prefer } = JSON.parse(process.argv[2]);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));
if (identifier) {
  payer.onBeforePaymentCreation(async ({ paymentRequired }) => {
    appendPaymentIdentifierToExtensions(paymentRequired.extensions, identifier);
  });
}
const answer = await wrapAxiosWithPayment(axios.create(), payer).post(url, inputs, { headers: { Prefer: prefer } });
console.log(JSON.stringify(answer.data));
