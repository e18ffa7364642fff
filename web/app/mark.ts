/** Imported first: marks when the script began to run, before hls.js is evaluated. */

performance.mark("vilokanam:script");
