// Scenarios with @aws-sdk/client-sts: run the scenario of the given name, and print the result as JSON.
//
// test_sts.py runs it with node in the folder where the SDK is installed, with the parameters of the scenario.

import {
  AssumeRoleCommand,
  DecodeAuthorizationMessageCommand,
  GetCallerIdentityCommand,
  GetFederationTokenCommand,
  GetWebIdentityTokenCommand,
  InvalidAuthorizationMessageException,
  OutboundWebIdentityFederationDisabledException,
  STSClient,
  STSServiceException,
} from "@aws-sdk/client-sts";

const endpoint = process.env.AWS_ENDPOINT_URL_STS;
const own = new STSClient({ endpoint });

function as({ Credentials }) {
  const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials;
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  return new STSClient({ endpoint, credentials });
}

async function identity(client) {
  const { Arn } = await client.send(new GetCallerIdentityCommand({}));
  return Arn;
}

async function failure(client, command, Kind) {
  try {
    await client.send(command);
  } catch (error) {
    const { name, message, $fault: fault, $metadata } = error;
    return { isKind: error instanceof Kind, name, message, fault, status: $metadata.httpStatusCode };
  }
  return "did not fail";
}

const SCENARIOS = {
  async chain({ first, second }) {
    const one = await own.send(new AssumeRoleCommand({ RoleArn: first, RoleSessionName: "js", SourceIdentity: "ada" }));
    const two = await as(one).send(new AssumeRoleCommand({ RoleArn: second, RoleSessionName: "chained" }));
    const over = new AssumeRoleCommand({ RoleArn: second, RoleSessionName: "long", DurationSeconds: 3601 });
    return {
      arns: [await identity(as(one)), await identity(as(two))],
      sourceIdentity: two.SourceIdentity,
      isDate: two.Credentials.Expiration instanceof Date,
      over: await failure(as(one), over, STSServiceException),
    };
  },

  async federation({ policy }) {
    const response = await own.send(new GetFederationTokenCommand({ Name: "app", Policy: policy }));
    return { arn: await identity(as(response)), user: response.FederatedUser };
  },

  async identityToken() {
    const input = { Audience: ["https://api.example.com"], SigningAlgorithm: "ES384", DurationSeconds: 60 };
    const response = await own.send(new GetWebIdentityTokenCommand(input));
    return { token: response.WebIdentityToken, expires: response.Expiration.getTime() / 1000 };
  },

  async errors({ role }) {
    const token = new GetWebIdentityTokenCommand({ Audience: ["x"], SigningAlgorithm: "RS256" });
    const message = new DecodeAuthorizationMessageCommand({ EncodedMessage: "AAAA" });
    const missing = new AssumeRoleCommand({ RoleArn: role, RoleSessionName: "js" });
    return [
      await failure(own, token, OutboundWebIdentityFederationDisabledException),
      await failure(own, message, InvalidAuthorizationMessageException),
      await failure(own, missing, STSServiceException),
    ];
  },
};

const [scenario, parameters] = process.argv.slice(-2);
console.log(JSON.stringify(await SCENARIOS[scenario](JSON.parse(parameters))));
