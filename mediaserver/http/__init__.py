"""HTTP shared by all rooms: problems, requests over unix sockets, request bodies."""
