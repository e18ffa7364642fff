// Make a viewer with a deposit and a link to a stream; list the streams: see README.md.
import { Client, ProblemError } from "./vilokanam.js";

/** The address that the viewer watches at; done twice, it pays in once. */
async function welcome(client: Client, stream: string, name: string): Promise<string> {
  await client.getStreamsSlug(stream); // there is none of a mistyped name: nothing is made or paid
  try {
    await client.getViewersViewer(name);
  } catch (error) {
    if (!(error instanceof ProblemError && error.status === 404)) throw error;
    await client.postViewers({ name });
  }
  await client.postViewersViewerCredits(
    name,
    { planck: "60000000", memo: "welcome" },
    `welcome ${name}`,
  );
  return (await client.postTokens({ viewer: name, stream })).watch_url;
}

const [url = "", key = "", stream = "", name = ""] = process.argv.slice(2);
const client = new Client(url, key);
console.log(await welcome(client, stream, name));
for await (const row of client.eachStreams({ limit: 1 })) console.log(row.slug, row.title);
