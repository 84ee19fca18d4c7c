"""The steps of a deployment, as data: what each creates, and the commands for it."""
