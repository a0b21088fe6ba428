// Calls the three APIs of Personalize through the AWS SDK for JavaScript v3, and tells what came of it.
//
// node foreign.cjs URL < CALLS, where CALLS is a JSON list of [command, input]. PERSONALIZE_RT_NODE_MODULES is the
// directory below which the SDK is installed. The environment holds region and credentials, and if the URL is empty,
// where the services are.

const paths = [process.env.PERSONALIZE_RT_NODE_MODULES];
const apis = ["PersonalizeRuntime", "PersonalizeEvents", "Personalize"].map((name) => {
  const dashed = name.replace(/(?!^)(?=[A-Z])/g, "-").toLowerCase();
  return { name, sdk: require(require.resolve(`@aws-sdk/client-${dashed}`, { paths })) };
});

// JSON has no dates: what is a time in a request is text.
function revived(key, value) {
  return key === "sentAt" || key === "timestamp" ? new Date(value) : value;
}

async function tell(clients, [command, input]) {
  const { name, sdk } = apis.find((api) => api.sdk[`${command}Command`] !== undefined);
  try {
    const { $metadata, ...reply } = await clients[name].send(new sdk[`${command}Command`](input));
    return { reply, attempts: $metadata.attempts, requestId: $metadata.requestId };
  } catch (error) {
    return {
      error: error.name,
      // Whether `catch (error) { if (error instanceof ResourceNotFoundException) ... }` works.
      typed: sdk[error.name] !== undefined && error instanceof sdk[error.name],
      ofService: error instanceof sdk[`${name}ServiceException`],
      message: error.message,
      fault: error.$fault,
      status: error.$metadata?.httpStatusCode,
      attempts: error.$metadata?.attempts,
      requestId: error.$metadata?.requestId,
    };
  }
}

async function main() {
  const calls = JSON.parse(require("node:fs").readFileSync(0, "utf8"), revived);
  const where = process.argv[2] ? { endpoint: process.argv[2] } : {};
  const clients = Object.fromEntries(
    apis.map(({ name, sdk }) => [name, new sdk[`${name}Client`]({ ...where, maxAttempts: 3 })]),
  );
  const told = [];
  for (const call of calls) {
    told.push(await tell(clients, call));
  }
  console.log(JSON.stringify(told));
}

main();
