"""Local Eventarc: delivers events of the other services to functions as CloudEvents."""
