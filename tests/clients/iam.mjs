// Scenarios with @aws-sdk/client-iam: run the scenario of the given name, and print the result as JSON.
//
// test_javascript.py runs it with node in the folder where the SDK is installed, with the parameters of the scenario.

import {
  CreateRoleCommand,
  CreateUserCommand,
  DeleteUserCommand,
  GetRoleCommand,
  GetUserCommand,
  GetUserPolicyCommand,
  IAMClient,
  IAMServiceException,
  ListRoleTagsCommand,
  ListUserTagsCommand,
  ListUsersCommand,
  NoSuchEntityException,
  EntityAlreadyExistsException,
  PutUserPolicyCommand,
  TagUserCommand,
  UntagUserCommand,
  paginateListUsers,
  waitUntilUserExists,
} from "@aws-sdk/client-iam";

const iam = new IAMClient({ endpoint: process.env.AWS_ENDPOINT_URL_IAM });

const SCENARIOS = {
  async user({ name }) {
    const created = await iam.send(new CreateUserCommand({ UserName: name, Path: "/js/" }));
    const waited = await waitUntilUserExists({ client: iam, maxWaitTime: 10 }, { UserName: name });
    const got = await iam.send(new GetUserCommand({ UserName: name }));
    await iam.send(new DeleteUserCommand({ UserName: name }));
    return {
      created: created.User,
      got: got.User,
      isDate: got.User.CreateDate instanceof Date,
      age: Date.now() - got.User.CreateDate.getTime(),
      waited: waited.state,
      status: got.$metadata.httpStatusCode,
      requestId: got.$metadata.requestId,
    };
  },

  async pages({ path, names }) {
    for (const UserName of names) await iam.send(new CreateUserCommand({ UserName, Path: path }));
    const pages = [];
    for await (const page of paginateListUsers({ client: iam, pageSize: 2 }, { PathPrefix: path })) {
      pages.push(page.Users.map((user) => user.UserName));
    }
    return pages;
  },

  async document({ name, document }) {
    await iam.send(new CreateUserCommand({ UserName: name }));
    const policy = { UserName: name, PolicyName: "Docs" };
    await iam.send(new PutUserPolicyCommand({ ...policy, PolicyDocument: document }));
    const got = await iam.send(new GetUserPolicyCommand(policy));
    return { policy: got.PolicyName, document: decodeURIComponent(got.PolicyDocument) };
  },

  async tags({ name, trust }) {
    const Tags = [{ Key: "team", Value: "docs" }, { Key: "ünï / a@b", Value: "" }];
    await iam.send(new CreateUserCommand({ UserName: name, Tags }));
    await iam.send(new TagUserCommand({ UserName: name, Tags: [{ Key: "team", Value: "a+b c" }] }));
    const user = await iam.send(new ListUserTagsCommand({ UserName: name }));
    await iam.send(new UntagUserCommand({ UserName: name, TagKeys: ["team"] }));
    const left = await iam.send(new ListUserTagsCommand({ UserName: name }));
    await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: trust, Tags }));
    const role = await iam.send(new ListRoleTagsCommand({ RoleName: name }));
    const got = await iam.send(new GetRoleCommand({ RoleName: name }));
    return { user: user.Tags, left: left.Tags, role: role.Tags, trust: decodeURIComponent(got.Role.AssumeRolePolicyDocument) };
  },

  async errors({ name }) {
    await iam.send(new CreateUserCommand({ UserName: name }));
    const withUnknownKey = new IAMClient({
      endpoint: process.env.AWS_ENDPOINT_URL_IAM,
      credentials: { accessKeyId: "AKIATESTNOBODY000001", secretAccessKey: "secret" },
    });
    return [
      await failure(iam.send(new GetUserCommand({ UserName: `no-${name}` })), NoSuchEntityException),
      await failure(iam.send(new CreateUserCommand({ UserName: name })), EntityAlreadyExistsException),
      await failure(withUnknownKey.send(new GetUserCommand({})), IAMServiceException),
    ];
  },

  async clock({ minutes }) {
    const now = Date.now;
    Date.now = () => now() + minutes * 60_000;
    const attempts = (maxAttempts) => new IAMClient({ endpoint: process.env.AWS_ENDPOINT_URL_IAM, maxAttempts });
    const once = attempts(1);
    return {
      first: await failure(once.send(new ListUsersCommand({})), IAMServiceException),
      later: (await once.send(new ListUsersCommand({}))).$metadata.attempts,
      retried: (await attempts(2).send(new ListUsersCommand({}))).$metadata.attempts,
    };
  },
};

async function failure(sent, kind) {
  try {
    await sent;
  } catch (error) {
    const { name, message, $fault: fault } = error;
    return { isKind: error instanceof kind, name, message, fault, status: error.$metadata.httpStatusCode };
  }
  return "did not fail";
}

const [scenario, parameters] = process.argv.slice(-2);
console.log(JSON.stringify(await SCENARIOS[scenario](JSON.parse(parameters))));
