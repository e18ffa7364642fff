"""One live broadcast: samples on one timeline, to segments and parts."""
