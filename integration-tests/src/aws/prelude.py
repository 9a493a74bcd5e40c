"""Runs before every boto3 script: `ecs` and `scaling` are clients that check each answer against botocore's models."""

import json

import boto3
import botocore.exceptions

ecs = boto3.client("ecs")
scaling = boto3.client("application-autoscaling")

SCALARS = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


def check(path, shape, value):
    """Fails where an answer has a member that the model has not, lacks one that it requires, or has one of another type."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{path} is {value!r}, not an object"
        for name in shape.required_members:
            assert name in value, f"{path} lacks {name}, which {shape.name} requires"
        for name, member in value.items():
            assert name in shape.members, f"{path}.{name} is not a member of {shape.name}"
            check(f"{path}.{name}", shape.members[name], member)
    elif kind == "list":
        assert isinstance(value, list), f"{path} is {value!r}, not a list"
        for index, member in enumerate(value):
            check(f"{path}[{index}]", shape.member, member)
    elif kind == "map":
        assert isinstance(value, dict), f"{path} is {value!r}, not a map"
        for key, member in value.items():
            check(f"{path}[{key}]", shape.value, member)
    else:
        of_kind = isinstance(value, SCALARS[kind])
        # In Python a boolean is an integer; on the wire it is not.
        of_kind = of_kind and (kind == "boolean" or not isinstance(value, bool))
        assert of_kind, f"{path} is {value!r}, not a {kind}"
        enum = getattr(shape, "enum", None)
        assert not enum or value in enum, f"{path} is {value!r}, not one of {enum}"


def check_answer(http_response, parsed, model, **_):
    if http_response.status_code == 200:
        check(model.name, model.output_shape, json.loads(http_response.content))
    else:
        assert parsed["ResponseMetadata"]["HTTPStatusCode"] in (400, 500), parsed


ecs.meta.events.register("after-call.ecs", check_answer)
scaling.meta.events.register("after-call.application-auto-scaling", check_answer)


def refused(exception, message, call, **arguments):
    """The call raises the client's own exception, with the message in it; returns the exception."""
    try:
        answer = call(**arguments)
    except exception as error:
        assert message in str(error), f"{error} does not say {message!r}"
        return error
    raise AssertionError(f"no {exception.__name__} but {answer}")


