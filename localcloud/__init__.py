"""Google Cloud on one machine: the services that Modeldrop's functions use, behind Google's own wire protocols."""
