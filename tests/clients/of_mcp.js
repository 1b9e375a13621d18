// An MCP client that pays: npm's @modelcontextprotocol/client, with a wallet of x402.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const { url, tool, inputs, key, allowedAssets } = JSON.parse(process.argv[2]);
const payer = new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));
payer.setSpendControls({ allowedAssets });

const client = new Client({ name: "stock", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
const unpaid = await client.callTool({ name: tool, arguments: inputs });
const payment = await payer.createPaymentPayload(unpaid.structuredContent);
const paid = await client.callTool({ name: tool, arguments: inputs, _meta: { "x402/payment": payment } });
await client.close();
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), paid }));
