"""May this viewer go on: asked before each media object is served."""
