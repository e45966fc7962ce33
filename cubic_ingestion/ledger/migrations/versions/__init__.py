"""One module a revision, named by its number; none imports the models, which go on changing."""
