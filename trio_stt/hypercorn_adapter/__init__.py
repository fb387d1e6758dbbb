"""All that knows the insides of Hypercorn, wsproto and Quart."""
