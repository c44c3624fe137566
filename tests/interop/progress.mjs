/**
 * How many calls of a client made with the official TypeScript SDK see their last progress report.
 *
 *     node progress.mjs 1|2 COUNT command [argument …]
 *
 * 1 and 2 are the SDK's major versions. The server needs a tool `work` that reports 1, 2 and 3.
 */
const [major, count, command, ...args] = process.argv.slice(2);
const [{ Client }, { StdioClientTransport }] = await Promise.all(
    major === '1'
        ? [import('@modelcontextprotocol/sdk/client/index.js'), import('@modelcontextprotocol/sdk/client/stdio.js')]
        : [import('@modelcontextprotocol/client'), import('@modelcontextprotocol/client/stdio')]
);

const client = new Client({ name: 'progress', version: '1' });
await client.connect(new StdioClientTransport({ command, args }));
let whole = 0;
for (let done = 0; done < Number(count); done++) {
    const seen = [];
    const options = { onprogress: report => seen.push(report.progress) };
    const params = { name: 'work', arguments: {} };
    await (major === '1' ? client.callTool(params, undefined, options) : client.callTool(params, options));
    if (seen.includes(3)) whole++;
}
await client.close();
console.log(`${whole} of ${count} calls saw their last report`);
