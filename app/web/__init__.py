"""Pages and the JSON twin: parse the request, call one domain function, render."""
