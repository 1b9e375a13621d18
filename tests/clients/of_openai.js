// openai-node over @x402/fetch.
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import OpenAI from "openai";
import { privateKeyToAccount } from "viem/accounts";

const { baseURL, model, key, allowedAssets } = JSON.parse(process.argv[2]);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));
payer.setSpendControls({ allowedAssets });
const client = new OpenAI({ baseURL, apiKey: "none", fetch: wrapFetchWithPayment(fetch, payer) });
const said = await client.chat.completions.create({ model, messages: [{ role: "user", content: "the sea" }] });
console.log(JSON.stringify({ content: said.choices[0].message.content, receipt: said.receipt }));
