// The Vercel AI SDK over @x402/fetch: whole, streamed, and with an input by name.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { generateText, streamText } from "ai";
import { privateKeyToAccount } from "viem/accounts";

const { baseURL, model, key, allowedAssets } = JSON.parse(process.argv[2]);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));
payer.setSpendControls({ allowedAssets });
const shop = createOpenAICompatible({ name: "shop", baseURL, fetch: wrapFetchWithPayment(fetch, payer), includeUsage: true });

const whole = await generateText({ model: shop(model), prompt: "the sea" });
const streamed = streamText({ model: shop(model), prompt: "the hills" });
let text = "";
for await (const part of streamed.textStream) text += part;
const named = await generateText({
  model: shop(model),
  prompt: "",
  providerOptions: { shop: { inputs: { topic: "the wind" } } },
});
const refused = await generateText({ model: shop(model), system: "Be rude.", prompt: "the sea" }).catch((error) => error);
console.log(
  JSON.stringify({
    whole: whole.text,
    usage: whole.usage.totalTokens,
    streamed: text,
    streamedUsage: (await streamed.usage).totalTokens,
    finish: whole.finishReason,
    named: named.text,
    refused: [refused.statusCode, refused.data?.error?.param],
  }),
);
