"""Access-control lists of Kafka: the least rights with which each role does its job."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.broker.producer import transactional_prefix, writer_id
from pipeline.broker.topology import archive_group
from pipeline.errors import UsageError
from pipeline.settings import Settings


class Resource(StrEnum):
    """Kinds of resources, each as the option of `kafka-acls.sh` that names one."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    """Operations in Kafka's spelling. `Read`, `Write`, `Alter` and `Delete` include `Describe`."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER = "Alter"
    ALTER_CONFIGS = "AlterConfigs"


@dataclass(frozen=True, slots=True)
class Right:
    """The permission of one operation on a resource, or with `prefixed` on every one whose name begins so."""

    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """A process or person that connects to Kafka, with what it does there (`job`)."""

    name: str
    job: str
    rights: tuple[Right, ...]


def roles_of(settings: Settings) -> tuple[Role, ...]:
    """Return every role with its rights on the topics, groups and transactional ids of the settings."""
    return (
        Role("worker", "`watchword run`", _worker(settings)),
        Role("archive", "`watchword archive run`", _archive(settings)),
        Role(
            "producer",
            "`watchword produce`, and other senders",
            _on(Operation.WRITE, settings.topic_images),
        ),
        Role("publisher", "`watchword policies publish`, `promote`, `rollback`", _publisher(settings)),
        Role("reviewer", "`watchword decisions add`, `decisions show`, `policies label`", _reviewer(settings)),
        Role("exporter", "`watchword decisions watch`", _on(Operation.READ, settings.topic_decisions)),
        Role("reader", "`watchword read`, `lag`, `explain`, `policies history`", _reader(settings)),
        Role("operator", "`watchword dead-letters`", _operator(settings)),
        Role("owner", "creating the topics, once", _owner(settings)),
    )


def role_named(settings: Settings, name: str) -> Role:
    """Return a role. Raises `UsageError` when there is none of this name."""
    roles = {role.name: role for role in roles_of(settings)}
    if name not in roles:
        raise UsageError(f"`{name}` is not a role; choose {', '.join(f'`{each}`' for each in roles)}")
    return roles[name]


def acl_commands(role: Role, principal: str) -> list[list[str]]:
    """Return the words of one `kafka-acls.sh` command for each right; connection options are left to the caller."""
    return [
        [
            "kafka-acls.sh",
            "--add",
            "--allow-principal",
            principal,
            "--operation",
            right.operation.value,
            f"--{right.resource.value}",
            right.name,
            *(["--resource-pattern-type", "prefixed"] if right.prefixed else []),
        ]
        for right in role.rights
    ]


def _on(operation: Operation, *topics: str) -> tuple[Right, ...]:
    return tuple(Right(Resource.TOPIC, topic, operation) for topic in topics)


def _outputs(settings: Settings) -> tuple[str, ...]:
    return settings.topic_flags, settings.topic_verdicts, settings.topic_embeddings, settings.topic_dead_letters


def _policies_in_use(settings: Settings) -> tuple[Right, ...]:
    return _on(Operation.READ, settings.topic_policies) if settings.policy_source == "topic" else ()


def _worker(settings: Settings) -> tuple[Right, ...]:
    return (
        *_on(Operation.READ, settings.topic_images),
        *_on(Operation.WRITE, *_outputs(settings)),
        # The size limits of topics are checked at start.
        *_on(Operation.DESCRIBE_CONFIGS, settings.topic_images, *_outputs(settings)),
        *_policies_in_use(settings),
        Right(Resource.GROUP, settings.group_id, Operation.READ),
        Right(Resource.TRANSACTIONAL_ID, transactional_prefix(settings.group_id), Operation.WRITE, prefixed=True),
    )


def _archive(settings: Settings) -> tuple[Right, ...]:
    return (
        *_on(Operation.READ, settings.topic_embeddings),
        Right(Resource.GROUP, archive_group(settings), Operation.READ),
    )


def _publisher(settings: Settings) -> tuple[Right, ...]:
    return (
        *_on(Operation.READ, settings.topic_policies),
        *_on(Operation.WRITE, settings.topic_policies),
        Right(Resource.TRANSACTIONAL_ID, writer_id(settings.topic_policies), Operation.WRITE),
    )


def _reviewer(settings: Settings) -> tuple[Right, ...]:
    return (
        *_on(Operation.READ, settings.topic_decisions, settings.topic_flags),
        *_on(Operation.WRITE, settings.topic_decisions),
        *_policies_in_use(settings),
    )


def _reader(settings: Settings) -> tuple[Right, ...]:
    topics = settings.topic_images, settings.topic_flags, settings.topic_verdicts, settings.topic_dead_letters
    return (
        *_on(Operation.READ, *topics, settings.topic_policies),
        Right(Resource.GROUP, settings.group_id, Operation.DESCRIBE),
    )


def _operator(settings: Settings) -> tuple[Right, ...]:
    handling = settings.topic_dead_letter_handling
    return (
        *_on(Operation.READ, settings.topic_dead_letters, handling),
        *_on(Operation.WRITE, settings.topic_images, handling),
        # The size limits and the retention of topics are checked before letters are requeued.
        *_on(Operation.DESCRIBE_CONFIGS, settings.topic_images, handling),
        Right(Resource.TRANSACTIONAL_ID, writer_id(handling), Operation.WRITE),
    )


def _owner(settings: Settings) -> tuple[Right, ...]:
    topics: Sequence[str] = (
        settings.topic_images,
        *_outputs(settings),
        settings.topic_dead_letter_handling,
        settings.topic_policies,
        settings.topic_decisions,
    )
    # Describe is included in Alter.
    wanted = Operation.CREATE, Operation.ALTER, Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS
    return tuple(right for operation in wanted for right in _on(operation, *topics))
