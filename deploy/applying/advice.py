"""What errors of Google Cloud mean, and what to do about them.

gcloud prints the words of a service. They often say neither which part of the declaration is meant nor what would be right.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from deploy.planning.steps import Words

FORBIDDEN = r"\b403\b|PERMISSION_DENIED|does not have permission to access|does not have \S+ access"
"""How errors say that the caller lacks a permission. gcloud writes this in several ways."""
_POLICIES = "gcloud org-policies describe {constraint} --effective --project={project}"
_ASK = "or let an administrator of the organization allow it for the project"


class Known(NamedTuple):
    """A kind of error.

    ``meaning`` and ``fix`` may name groups of the pattern, ``{project}``, and ``{name}``, the first name in the command.
    """

    pattern: str
    """A regular expression for a part of the error's text."""
    meaning: str
    """What is wrong, in a sentence."""
    fix: str
    """What would be right, and what to type."""


class Advice(NamedTuple):
    """What one error means, and what to do about it."""

    meaning: str
    fix: str


HIDDEN_BUCKET = Known(
    rf"storage\.buckets\.get(?![-\w])(?s:.*)({FORBIDDEN})|({FORBIDDEN})(?s:.*)storage\.buckets\.get(?![-\w])",
    "The bucket exists and you may not read it. It is another project's, unless you lack rights here.",
    "Declare another `name` for the bucket in deploy/functions.yaml; names of buckets are global.",
)
"""The bucket cannot be read. Cloud Storage says the same of a bucket that belongs to others."""

UNKNOWN_REGION = Known(
    r"Permission denied on 'locations/(?P<location>[^']+)' \(or it may not exist\)",
    "Cloud Functions has no region {location}, or not for this project.",
    "Declare a `region` of this list in deploy/functions.yaml: gcloud functions regions list --project={project}",
)
"""The region does not exist. Google says that it may be a matter of rights."""

LACKING = Known(
    FORBIDDEN,
    "You lack a permission.",
    "This says which role has it: python -m deploy check --project {project}",
)

KNOWN = (
    # https://cloud.google.com/docs/authentication/troubleshoot-adc
    Known(
        r"[Rr]eauthentication (failed|required|is needed)|problem (re)?(authenticating while )?refreshing your current auth"
        r"|not currently have an active account|invalid_grant|UNAUTHENTICATED|status=\[401\]|HTTPError 401",
        "The login of gcloud has expired, or there is none.",
        "gcloud auth login",
    ),
    # https://cloud.google.com/vpc-service-controls/docs/troubleshooting
    Known(
        r"vpcServiceControlsUniqueIdentifier|prohibited by organization's policy|SECURITY_POLICY_VIOLATED",
        "A perimeter of VPC Service Controls refuses the call.",
        "Run this from within the perimeter, or let an administrator add an ingress rule for your account. The identifier in "
        'the error leads to the rule that refused. docs/runbook.md, "VPC Service Controls and customer-managed keys".',
    ),
    # https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints
    Known(
        r"constraints/(?P<constraint>cloudfunctions\.allowedIngressSettings|run\.allowedIngress)",
        "An organization policy does not allow {name} to take requests from everywhere.",
        f"Declare `ingress: internal-only` for the function in deploy/functions.yaml, {_ASK}: {_POLICIES}",
    ),
    Known(
        r"constraints/(?P<constraint>gcp\.resourceLocations)",
        "An organization policy does not allow resources in the declared region.",
        f"Declare a `region` that it allows, {_ASK}: {_POLICIES}",
    ),
    Known(
        r"constraints/(?P<constraint>iam\.disableServiceAccountCreation)",
        "An organization policy forbids to create service accounts.",
        "Let an administrator create the accounts with the commands that `plan` prints, and apply again.",
    ),
    Known(
        r"constraints/(?P<constraint>gcp\.restrictNonCmekServices)",
        "An organization policy requires a key of Cloud KMS for {name}.",
        "Create it with a key under this name, and apply again, which leaves the key. "
        'docs/runbook.md, "VPC Service Controls and customer-managed keys".',
    ),
    Known(
        r"constraints/(?P<constraint>iam\.allowedPolicyMemberDomains)|not belong to a permitted customer",
        "An organization policy gives roles to members of some domains only.",
        f"Remove the member from `publishers`, `uploaders` or `callers` in deploy/functions.yaml, {_ASK}.",
    ),
    Known(
        r"constraints/(?P<constraint>[\w.]+)",
        "An organization policy forbids this.",
        f"Let an administrator of the organization allow it for the project: {_POLICIES}",
    ),
    Known(
        r"bucket name is not available|bucket namespace is shared",
        "The name of the bucket belongs to another project: names of buckets are global.",
        "Declare another `name` for the bucket in deploy/functions.yaml.",
    ),
    HIDDEN_BUCKET,
    # https://cloud.google.com/billing/docs/how-to/modify-project
    Known(
        r"[Bb]illing must be enabled|[Bb]illing account for (the owning )?project|BILLING_DISABLED|UREQ_PROJECT_BILLING",
        "The project has no billing account, or it is closed.",
        "gcloud billing projects link {project} --billing-account=ACCOUNT",
    ),
    Known(
        r"USER_PROJECT_DENIED|Project .* has been deleted|project .* is pending deletion|DELETE_REQUESTED",
        "The project is being deleted.",
        "gcloud projects undelete {project}",
    ),
    # https://github.com/hashicorp/terraform-provider-google/issues/17037 is one of many reports.
    UNKNOWN_REGION,
    # https://cloud.google.com/run/quotas
    Known(
        r"(Max instances must be set to|maxScale may not exceed) (?P<most>\d+)",
        "{name} may use more CPUs than Cloud Run allows the project in the region.",
        "Declare `maximum_instances: {most}` or less for the function in deploy/functions.yaml, or request more: "
        "https://console.cloud.google.com/iam-admin/quotas?project={project}",
    ),
    # https://cloud.google.com/functions/docs/troubleshooting
    Known(
        r"missing permission on the build service account",
        "The account of builds lacks a role.",
        "Apply again, which grants its roles, and see that no organization policy takes them away.",
    ),
    Known(
        r"Build failed",
        "The source could not be built.",
        "Read the log of the build, whose address is in the error: gcloud builds list --region={region} --project={project}",
    ),
    Known(
        r"[Hh]ealth ?check failed|failed to start and listen on the port",
        "{name} was built and does not start.",
        "Read what it logged: gcloud functions logs read {name} --region={region} --project={project}",
    ),
    Known(
        r"(?i)(not.found(?s:.*)cryptoKey|cryptoKey(?s:.*)not.found)",
        "There is no such key. BigQuery uses a key only in the location of its dataset.",
        "Correct `keys:` of `customer_keys` in deploy/functions.yaml: "
        "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
    ),
    Known(
        r"RESOURCE_EXHAUSTED|status=\[429\]|HTTPError 429|[Qq]uota exceeded",
        "A quota of the project is used up, also after some minutes.",
        "Run the command again later, or request more: https://console.cloud.google.com/iam-admin/quotas?project={project}",
    ),
    Known(
        r"\bUNAVAILABLE\b|status=\[50[0-9]\]|HTTPError 50[0-9]|INTERNAL: |Internal error",
        "The service does not answer as it should.",
        "Run the command again later. https://status.cloud.google.com says whether it is down.",
    ),
    Known(
        r"Failed to establish a new connection|[Nn]ame or service not known|Connection refused|find the server at",
        "Google Cloud cannot be reached.",
        "gcloud info --run-diagnostics",
    ),
    LACKING,
    Known(
        r"ALREADY_EXISTS|status=\[409\]|HTTPError 409",
        "{name} was not there a moment ago and exists now, or another command changes it.",
        "Run the command again, and no other one at the same time.",
    ),
    Known(
        r"NOT_FOUND|status=\[404\]|not found: 404|HTTPError 404",
        "Something that the command needs does not exist any more, or not yet.",
        "See what is missing: python -m deploy plan --diff --project {project}",
    ),
)
"""All kinds, the special ones first."""


def advise(error: str, words: Words) -> Advice | None:
    """Return what an error means and what to do about it; None if it is not a known one.

    Args:
        error: What a command printed.
        words: The command.
    """
    for known in KNOWN:
        if found := re.search(known.pattern, error):
            groups = {name: value for name, value in found.groupdict().items() if value}
            values = {
                **groups,
                "project": _flag(words, "--project", "PROJECT"),
                "region": _flag(words, "--region", "REGION"),
                "name": _name(words),
            }
            return Advice(known.meaning.format(**values), known.fix.format(**values))
    return None


def _flag(words: Words, flag: str, default: str) -> str:
    return next((word.partition("=")[2] for word in words if word.startswith(f"{flag}=")), default)


def _name(words: Words) -> str:
    """Return the last word of a command before its flags, which is what it is about."""
    return next((last for last, word in itertools.pairwise(words) if word.startswith("--")), words[-1])
