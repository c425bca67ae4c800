"""Rights of a role, granted on a real broker by the client that may do everything."""

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from pipeline.broker.connection import Connection
from pipeline.operations.topics.acls import Operation, Resource, Right, Role

_RESOURCES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    Operation.READ: ACLOperation.READ,
    Operation.WRITE: ACLOperation.WRITE,
    Operation.CREATE: ACLOperation.CREATE,
    Operation.DESCRIBE: ACLOperation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS: ACLOperation.DESCRIBE_CONFIGS,
    Operation.ALTER: ACLOperation.ALTER,
    Operation.ALTER_CONFIGS: ACLOperation.ALTER_CONFIGS,
}


def grant(connection: Connection, role: Role, principal: str) -> None:
    """Give a principal every right of a role, and no other."""
    admin = KafkaAdminClient(**connection.options())
    try:
        answer = admin.create_acls([_acl(right, principal) for right in role.rights])
    finally:
        admin.close()
    assert not answer["failed"], answer


def _acl(right: Right, principal: str) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if right.prefixed else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(_RESOURCES[right.resource], right.name, pattern)
    return ACL(principal, "*", _OPERATIONS[right.operation], ACLPermissionType.ALLOW, resource)
