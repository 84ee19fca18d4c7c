"""What the functions share. Nothing here knows where Google Cloud's endpoints are: settings and the clients say so."""
