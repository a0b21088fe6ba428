// Calls Personalize through the AWS SDK for JavaScript v3, and tells what came of it.
//
// node foreign.cjs URL < CALLS, where CALLS is a JSON list of [command, input]. PERSONALIZE_RT_NODE_MODULES is the
// directory below which the SDK is installed. The environment holds region and credentials.

const sdk = require(
  require.resolve("@aws-sdk/client-personalize-runtime", { paths: [process.env.PERSONALIZE_RT_NODE_MODULES] }),
);

async function tell(client, [command, input]) {
  try {
    const { $metadata, ...reply } = await client.send(new sdk[`${command}Command`](input));
    return { reply, attempts: $metadata.attempts, requestId: $metadata.requestId };
  } catch (error) {
    return {
      error: error.name,
      // Whether `catch (error) { if (error instanceof ResourceNotFoundException) ... }` works.
      typed: sdk[error.name] !== undefined && error instanceof sdk[error.name],
      ofService: error instanceof sdk.PersonalizeRuntimeServiceException,
      message: error.message,
      fault: error.$fault,
      status: error.$metadata?.httpStatusCode,
      attempts: error.$metadata?.attempts,
      requestId: error.$metadata?.requestId,
    };
  }
}

async function main() {
  const calls = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  const client = new sdk.PersonalizeRuntimeClient({ endpoint: process.argv[2], maxAttempts: 3 });
  const told = [];
  for (const call of calls) {
    told.push(await tell(client, call));
  }
  console.log(JSON.stringify(told));
}

main();
