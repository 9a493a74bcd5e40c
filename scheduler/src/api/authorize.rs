//! Whether a caller may do what it asks for: the request, as its action and resources, held against the policy of its access
//! key.

mod rules;

use berth_model::arn::Resource;
use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::policy::{Access, Context, Verdict};
use berth_scheduler_core::decide::definition::find;
use berth_scheduler_core::keys::TaskKey;
use berth_scheduler_core::state::State;
use serde::Serialize;
use serde_json::Value;

use self::rules::{Rule, Subject};
use super::{Api, tags};
use crate::auth::{Authority, Caller};

pub(super) use rules::{actions, is_write};

/// Names in one list of a request: far more than any operation takes.
const MOST: usize = 1000;

/// What a request is about: an ARN, and what it names where that can have tags.
struct Target {
    arn: String,
    resource: Option<Resource>,
}

/// A request, with what is needed to understand it.
struct Asked<'a> {
    api: &'a Api,
    state: &'a State,
    request: &'a Value,
    rule: &'a Rule,
}

impl Api {
    /// Whether the caller may do what the request asks of the operation.
    ///
    /// # Errors
    /// `AccessDeniedException` that names the caller, the action, the resource and the statement, or says that there is none;
    /// `InvalidParameterException` for a member that names nothing that there can be.
    pub(super) fn authorize(
        &self,
        service: &str,
        operation: &str,
        request: &impl Serialize,
        caller: &Caller,
    ) -> Result<(), Fault> {
        let Authority::Key(key) = &caller.authority else {
            return Ok(());
        };
        let action = format!("{service}:{operation}");
        let rule = rules::find(&action).ok_or_else(|| Fault::server(format!("nothing says who may do {action}")))?;
        let request = serde_json::to_value(request).map_err(|error| Fault::server(error.to_string()))?;
        let state = self.engine.view();
        let asked = Asked {
            api: self,
            state: &state,
            request: &request,
            rule,
        };
        if asked.is_about_itself() {
            return Ok(());
        }
        let mut context = asked.context()?;
        context.add("aws:username", key.user.as_str());
        context.add("aws:SourceIp", caller.address.to_canonical().to_string());
        for target in asked.targets()? {
            let context = self.with_tags(&state, &target, context.clone());
            let access = Access {
                action: &action,
                resource: &target.arn,
                context: &context,
            };
            let because = match key.policy.judge(&access) {
                Verdict::Allowed => continue,
                Verdict::Denied(statement) => format!("with an explicit deny in an identity-based policy: {statement}"),
                Verdict::NotAllowed => format!("because no identity-based policy allows the {action} action"),
            };
            return Err(Fault::new(
                FaultClass::AccessDenied,
                format!(
                    "User: {} is not authorized to perform: {action} on resource: {} {because}",
                    self.namespace.user(&key.user),
                    target.arn
                ),
            ));
        }
        Ok(())
    }

    fn with_tags(&self, state: &State, target: &Target, mut context: Context) -> Context {
        let tags = target
            .resource
            .as_ref()
            .and_then(|resource| tags::of(state, resource).ok().flatten());
        for tag in tags.into_iter().flatten() {
            context.add(&format!("aws:ResourceTag/{}", tag.key), &*tag.value);
            context.add(&format!("ecs:ResourceTag/{}", tag.key), &*tag.value);
        }
        context
    }
}

impl Asked<'_> {
    /// Whether it is for a session of the very key that it is signed with, which needs nobody's leave.
    fn is_about_itself(&self) -> bool {
        self.rule.action == "berth:GetSessionToken" && self.texts("/accessKeyId").is_ok_and(|texts| texts.is_empty())
    }

    /// The texts at a place of the request: one, those of a list, or none. Empty ones are as absent ones.
    fn texts(&self, place: &str) -> Result<Vec<&str>, Fault> {
        let texts: Vec<&str> = match self.request.pointer(place) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if texts.len() > MOST {
            return Err(Fault::invalid(format!(
                "{} has {} entries, at most {MOST} are allowed.",
                place.trim_start_matches('/'),
                texts.len()
            )));
        }
        Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
    }

    fn cluster(&self) -> Result<ClusterName, Fault> {
        let named = self.rule.cluster.map(|place| self.texts(place)).transpose()?;
        self.api.cluster(named.and_then(|texts| texts.first().copied()))
    }

    /// What is known of the call whatever its resources.
    fn context(&self) -> Result<Context, Fault> {
        let namespace = &self.api.namespace;
        let mut context = Context::default();
        if self.rule.cluster.is_some() {
            context.add("ecs:cluster", namespace.cluster(&self.cluster()?));
        }
        if let Subject::Services(_) = self.rule.subject {
            for target in self.targets()? {
                context.add("ecs:service", target.arn);
            }
        }
        for place in ["/taskDefinition", "/target/taskDefinition", "/runTask/taskDefinition"] {
            for text in self.texts(place)? {
                context.add("ecs:task-definition", self.definition(text)?.arn);
            }
        }
        if self.rule.cluster.is_some() {
            for place in ["/containerInstance", "/containerInstances"] {
                for text in self.texts(place)? {
                    let cluster = self.cluster()?;
                    let instance = namespace.parse_instance(&cluster, text)?;
                    context.add("ecs:container-instances", namespace.instance(&cluster, instance));
                }
            }
        }
        if self.rule.action == "ecs:ExecuteCommand" {
            for container in self.containers()? {
                context.add("ecs:container-name", container);
            }
        }
        for place in ["/enableExecuteCommand", "/runTask/enableExecuteCommand"] {
            if let Some(enabled) = self.request.pointer(place).and_then(Value::as_bool) {
                context.add("ecs:enable-execute-command", enabled.to_string());
            }
        }
        let tags = self.request.pointer("/tags").and_then(Value::as_array);
        for tag in tags.into_iter().flatten() {
            let member = |name: &str| tag[name].as_str().unwrap_or_default();
            context.add("aws:TagKeys", member("key"));
            context.add(&format!("aws:RequestTag/{}", member("key")), member("value"));
        }
        for key in self.texts("/tagKeys")? {
            context.add("aws:TagKeys", key);
        }
        Ok(context)
    }

    /// The container that a command is to run in: that of the task where it has one and none is named.
    fn containers(&self) -> Result<Vec<String>, Fault> {
        let named = self.texts("/container")?;
        let cluster = self.cluster()?;
        let tasks = self.texts("/task")?;
        if let Some(named) = named.first() {
            return Ok(vec![(*named).to_owned()]);
        }
        let Some(known) = self.state.cluster(&cluster) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for text in tasks {
            let task = self.api.namespace.parse_task(&cluster, text)?;
            let key = TaskKey {
                cluster: known.key,
                task,
            };
            let containers = self.state.task(key).map(|task| &*task.containers).unwrap_or_default();
            names.extend(containers.iter().map(|container| container.name.to_string()));
        }
        Ok(names)
    }

    /// What the request is about.
    fn targets(&self) -> Result<Vec<Target>, Fault> {
        let namespace = &self.api.namespace;
        let of = |place: &str, read: &dyn Fn(&str) -> Result<Target, Fault>| -> Result<Vec<Target>, Fault> {
            self.texts(place)?.into_iter().map(read).collect()
        };
        let (kind, found) = match self.rule.subject {
            Subject::Nothing => return Ok(vec![named("*".to_owned())]),
            Subject::Clusters(place) => {
                let found = of(place, &|text| self.cluster_of(Some(text)))?;
                // Where none is named the one that everybody means is.
                return match found.is_empty() {
                    true => Ok(vec![self.cluster_of(None)?]),
                    false => Ok(found),
                };
            }
            Subject::AllClusters(place) => {
                let found = of(place, &|text| self.cluster_of(Some(text)))?;
                ("cluster".to_owned(), found)
            }
            Subject::Families(place) => {
                let found = of(place, &|text| Ok(named(self.arn(&format!("task-definition/{text}:*")))))?;
                ("task-definition".to_owned(), found)
            }
            Subject::Definitions(place) => ("task-definition".to_owned(), of(place, &|text| self.definition(text))?),
            Subject::Tasks(place) => self.tasks(place)?,
            Subject::TasksOrAll(place, services) => {
                let (kind, mut found) = self.tasks(place)?;
                if !self.texts(services)?.is_empty() {
                    found.push(named(self.arn(&format!("{kind}/*"))));
                }
                (kind, found)
            }
            Subject::Instances(place) => {
                let cluster = self.cluster()?;
                let read = |text: &str| self.instance(&cluster, text);
                (format!("container-instance/{cluster}"), of(place, &read)?)
            }
            Subject::AttributeTargets => {
                let cluster = self.cluster()?;
                let attributes = self.request["attributes"].as_array();
                let named = attributes.into_iter().flatten().take(MOST);
                let texts = named.filter_map(|attribute| attribute["targetId"].as_str());
                let found: Result<_, _> = texts.map(|text| self.instance(&cluster, text)).collect();
                (format!("container-instance/{cluster}"), found?)
            }
            Subject::Services(place) => {
                let cluster = self.cluster()?;
                let read = |text: &str| Ok(self.service(&cluster, namespace.parse_service(&cluster, text)?));
                (format!("service/{cluster}"), of(place, &read)?)
            }
            Subject::OfServices(kind, place) => {
                let read = |text: &str| {
                    namespace.parse_of_service(kind, text)?;
                    Ok(named(text.to_owned()))
                };
                (kind.to_owned(), of(place, &read)?)
            }
            Subject::Schedules(place) => {
                let cluster = self.cluster()?;
                let read = |text: &str| {
                    let schedule = namespace.parse_schedule(&cluster, text)?;
                    Ok(named(namespace.schedule(&cluster, &schedule)))
                };
                (format!("schedule/{cluster}"), of(place, &read)?)
            }
            Subject::CapacityProviders(place) => {
                let prefix = self.arn("capacity-provider/");
                let read = |text: &str| {
                    let name = text.strip_prefix(&prefix).unwrap_or(text);
                    Ok(named(format!("{prefix}{name}")))
                };
                ("capacity-provider".to_owned(), of(place, &read)?)
            }
            Subject::Scaled(place) => {
                let read = |text: &str| {
                    let parts: Vec<&str> = text.split('/').collect();
                    match parts[..] {
                        ["service", cluster, service] => {
                            Ok(self.service(&ClusterName::parse(cluster)?, ServiceName::parse(service)?))
                        }
                        _ => Ok(named(self.arn(text))),
                    }
                };
                ("service".to_owned(), of(place, &read)?)
            }
            Subject::Arns(place) => {
                let read = |text: &str| {
                    Ok(Target {
                        arn: text.to_owned(),
                        resource: namespace.parse_resource(text).ok(),
                    })
                };
                return match of(place, &read)? {
                    found if found.is_empty() => Ok(vec![named("*".to_owned())]),
                    found => Ok(found),
                };
            }
            Subject::Users(place) => return Ok(self.users(self.texts(place)?.first().copied())),
            Subject::AccessKeys(place) => {
                let texts = self.texts(place)?;
                let key = texts.first().and_then(|text| self.state.access_key(text));
                return Ok(self.users(key.map(|key| key.user.as_str())));
            }
        };
        match found.is_empty() {
            // Any of them.
            true => Ok(vec![named(self.arn(&format!("{kind}/*")))]),
            false => Ok(found),
        }
    }

    /// The kind of tasks of the cluster, and those that are named.
    fn tasks(&self, place: &str) -> Result<(String, Vec<Target>), Fault> {
        let (namespace, cluster) = (&self.api.namespace, self.cluster()?);
        let read = |text: &str| {
            let task = namespace.parse_task(&cluster, text)?;
            let resource = Resource::Task(cluster.clone(), task);
            Ok(of_resource(namespace.task(&cluster, task), resource))
        };
        let found: Result<_, Fault> = self.texts(place)?.into_iter().map(read).collect();
        Ok((format!("task/{cluster}"), found?))
    }

    fn cluster_of(&self, text: Option<&str>) -> Result<Target, Fault> {
        let name = self.api.cluster(text)?;
        Ok(of_resource(self.api.namespace.cluster(&name), Resource::Cluster(name)))
    }

    fn instance(&self, cluster: &ClusterName, text: &str) -> Result<Target, Fault> {
        let instance = self.api.namespace.parse_instance(cluster, text)?;
        let resource = Resource::Instance(cluster.clone(), instance);
        Ok(of_resource(self.api.namespace.instance(cluster, instance), resource))
    }

    fn service(&self, cluster: &ClusterName, service: ServiceName) -> Target {
        let arn = self.api.namespace.service(cluster, &service);
        of_resource(arn, Resource::Service(cluster.clone(), service))
    }

    /// A task definition; the newest ACTIVE revision where none is named, and all where there is none.
    fn definition(&self, text: &str) -> Result<Target, Fault> {
        let namespace = &self.api.namespace;
        let reference = namespace.parse_definition(text)?;
        let arn = match (find(self.state, &reference), reference.revision) {
            (Some(known), _) => namespace.definition(&known.id),
            (None, Some(revision)) => self.arn(&format!("task-definition/{}:{revision}", reference.family)),
            (None, None) => self.arn(&format!("task-definition/{}:*", reference.family)),
        };
        Ok(of_resource(arn, Resource::Definition(reference)))
    }

    fn users(&self, name: Option<&str>) -> Vec<Target> {
        let account = self.api.namespace.account();
        vec![named(format!("arn:aws:iam::{account}:user/{}", name.unwrap_or("*")))]
    }

    fn arn(&self, rest: &str) -> String {
        let namespace = &self.api.namespace;
        format!("arn:aws:ecs:{}:{}:{rest}", namespace.region(), namespace.account())
    }
}

fn named(arn: String) -> Target {
    Target { arn, resource: None }
}

fn of_resource(arn: String, resource: Resource) -> Target {
    Target {
        arn,
        resource: Some(resource),
    }
}
