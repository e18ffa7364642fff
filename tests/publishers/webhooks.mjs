// The other side of our webhooks, on npm's `standardwebhooks`.
//
//   node webhooks.mjs receive SECRET        prints its port, then a line of JSON for each webhook
//   node webhooks.mjs sign SECRET ID BODY   prints the headers of a webhook that is signed now
import http from 'node:http';
import { Webhook } from 'standardwebhooks';

const [verb, secret, id, payload] = process.argv.slice(2);
const webhook = new Webhook(secret);

/** What is thrown, empty when nothing is. */
function fault(act) {
  try {
    act();
    return '';
  } catch (error) {
    return error.message;
  }
}

if (verb === 'sign') {
  const at = new Date();
  const signature = webhook.sign(id, at, payload);
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signature,
  };
  process.stdout.write(JSON.stringify(headers) + '\n');
} else {
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const other = { ...request.headers, 'webhook-id': 'msg_other' };
    const line = {
      id: request.headers['webhook-id'],
      body: JSON.parse(body),
      fault: fault(() => webhook.verify(body, request.headers)),
      altered: fault(() => webhook.verify(`${body} `, request.headers)),
      renamed: fault(() => webhook.verify(body, other)),
    };
    process.stdout.write(JSON.stringify(line) + '\n');
    response.writeHead(line.fault ? 400 : 204).end();
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
  process.stdin.resume().on('end', () => process.exit(0));
}
