"""The models behind the local Gemini: backends, and the requests and answers that they share."""
