// The AWS SDK for JavaScript: its paginators, its waiters and its exceptions, and its answers as its users read them.

const assert = require("node:assert/strict");
const {
  ClusterNotFoundException,
  CreateServiceCommand,
  DeleteServiceCommand,
  DescribeTasksCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  UpdateServiceCommand,
  paginateListTaskDefinitions,
  paginateListTasks,
  waitUntilServicesInactive,
  waitUntilServicesStable,
  waitUntilTasksRunning,
  waitUntilTasksStopped,
} = require("@aws-sdk/client-ecs");

const ecs = new ECSClient({});
const cluster = "ecs-demo";
const waiting = { client: ecs, minDelay: 1, maxDelay: 1, maxWaitTime: 90 };

async function collect(pages, member) {
  const all = [];
  for await (const page of pages) {
    assert(page[member].length <= 2, "a page is as long as was asked for");
    all.push(...page[member]);
  }
  return all;
}

async function main() {
  const container = { name: "main", image: "busybox", memory: 16, command: ["sleep", "600"], stopTimeout: 1 };
  for (let revision = 1; revision <= 3; revision++) {
    const { taskDefinition } = await ecs.send(
      new RegisterTaskDefinitionCommand({ family: "javascript", containerDefinitions: [container] }),
    );
    assert.equal(taskDefinition.revision, revision);
    assert(taskDefinition.registeredAt instanceof Date);
  }
  const pager = { client: ecs, pageSize: 2 };
  const definitions = await collect(paginateListTaskDefinitions(pager, { familyPrefix: "javascript" }), "taskDefinitionArns");
  assert.deepEqual(
    definitions.map((arn) => arn.split("/")[1]),
    ["javascript:1", "javascript:2", "javascript:3"],
  );

  const run = await ecs.send(new RunTaskCommand({ cluster, taskDefinition: "javascript", count: 3 }));
  assert.deepEqual(run.failures, []);
  const tasks = run.tasks.map((task) => task.taskArn);
  await waitUntilTasksRunning(waiting, { cluster, tasks });
  const listed = await collect(paginateListTasks(pager, { cluster, family: "javascript" }), "taskArns");
  assert.deepEqual(listed.sort(), [...tasks].sort());
  for (const task of tasks) {
    await ecs.send(new StopTaskCommand({ cluster, task, reason: "enough" }));
  }
  await waitUntilTasksStopped(waiting, { cluster, tasks });
  const described = await ecs.send(new DescribeTasksCommand({ cluster, tasks }));
  for (const task of described.tasks) {
    assert.equal(task.stoppedReason, "enough");
    assert(task.startedAt <= task.stoppedAt);
  }

  const service = "javascript";
  const healthCheck = { command: ["CMD-SHELL", "true"], interval: 5, retries: 1 };
  await ecs.send(
    new RegisterTaskDefinitionCommand({ family: "javascript", containerDefinitions: [{ ...container, healthCheck }] }),
  );
  const created = await ecs.send(
    new CreateServiceCommand({ cluster, serviceName: service, taskDefinition: "javascript", desiredCount: 1 }),
  );
  assert.equal(created.service.status, "ACTIVE");
  await waitUntilServicesStable(waiting, { cluster, services: [service] });
  await ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount: 0 }));
  await ecs.send(new DeleteServiceCommand({ cluster, service }));
  await waitUntilServicesInactive(waiting, { cluster, services: [service] });

  await assert.rejects(
    ecs.send(new RunTaskCommand({ cluster: "ghost", taskDefinition: "javascript" })),
    (error) => error instanceof ClusterNotFoundException && error.message === "Cluster not found.",
  );
  console.log("all checked");
}

main();
