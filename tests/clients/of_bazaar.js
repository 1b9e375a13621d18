// What x402's own reader of offers makes of each: the reader that facilitators list services with.
import {
  extractDiscoveryInfo,
  isValidServiceName,
  sanitizeTags,
  validateAndExtract,
  validateDiscoveryExtensionSpec,
} from "@x402/extensions/bazaar";

const { urls } = JSON.parse(process.argv[2]);
const found = [];
for (const url of urls) {
  const offered = await fetch(url, { method: "POST" });
  await offered.arrayBuffer(); // an unread body keeps its connection, and Node, until the door closes it
  const header = offered.headers.get("payment-required");
  const required = JSON.parse(Buffer.from(header, "base64").toString("utf8"));
  const payload = { x402Version: 2, payload: {}, ...required, accepted: required.accepts[0] };
  found.push({
    url,
    status: offered.status,
    length: header.length,
    valid: validateAndExtract(required.extensions.bazaar),
    spec: validateDiscoveryExtensionSpec(required.extensions.bazaar),
    listed: extractDiscoveryInfo(payload, required.accepts[0]),
    name: isValidServiceName(required.resource.serviceName),
    tags: sanitizeTags(required.resource.tags) ?? [],
    sent: required.resource.tags ?? [],
  });
}
console.log(JSON.stringify(found));
