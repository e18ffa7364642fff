// witness.mjs URL OPERATOR STREAM VIEWER CREATOR: what a stranger's library, @polkadot/api, reads of a settled stream:
// storage at the finalized head and every BatchSettled and EntryRefused event up to it. One JSON object; amounts as
// decimal strings. The tests compare it with the server's books (tests/e2e/test_watch_on_chain.py).
import { ApiPromise, WsProvider } from '@polkadot/api';

const [url, operator, stream, viewer, creator] = process.argv.slice(2);
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true, throwOnConnect: true });
const head = await api.rpc.chain.getFinalizedHead();
const at = await api.at(head);
const { escrows, credits, streamInfo, operators } = at.query.tickStream;

const credit = async (account) => {
  const found = await credits(account);
  return found.available.toBigInt() + found.pending.toBigInt() + found.maturing.toBigInt();
};

const batches = [];
const refused = [];
const last = (await api.rpc.chain.getHeader(head)).number.toNumber();
for (let number = 1; number <= last; number += 1) {
  const block = await api.at(await api.rpc.chain.getBlockHash(number));
  for (const { event } of await block.query.system.events()) {
    if (event.section !== 'tickStream') continue;
    // By position where a name is also one of a JavaScript array's.
    const said = event.data;
    if (event.method === 'BatchSettled')
      batches.push({ block: number, seq: said.seq.toNumber(), hash: said[2].toHex(),
        entries: said[3].toNumber(), refused: said.refused.toNumber(),
        ticks: said.ticks.toNumber(), amount: said.amount.toString() });
    if (event.method === 'EntryRefused') refused.push({ block: number, reason: said.reason.toString() });
  }
}
const info = (await streamInfo(stream)).unwrap();
process.stdout.write(JSON.stringify({
  spec: `${api.runtimeVersion.specName} ${api.runtimeVersion.specVersion}`,
  finalized: last,
  escrow: (await escrows(operator, viewer)).held.toString(),
  creator: (await credit(creator)).toString(),
  platform: (await credit(operator)).toString(),
  last_seq: (await operators(operator)).unwrap().lastSeq.toNumber(),
  total_ticks: info.totalTicks.toNumber(),
  total_amount: info.totalAmount.toString(),
  prices: info.prices.map((one) => [one.number.toNumber(), one.price.toString()]),
  batches,
  refused,
}));
await api.disconnect();
process.exit(0);
