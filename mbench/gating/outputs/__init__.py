"""What a comparison found, for where people read it: one module a format, each a pure function `render`.

words            what all of them say alike: what changed, from what to what, by how much
terminal         renderables for 80 columns
markdown         a job summary;  annotations  GitHub's workflow commands;  junit  JUnit XML
benchmark_action, bencher   JSON for services that keep trends
page             an HTML file that needs nothing else
forms            all that are written to files, by name, and those that other packages add

Nothing here judges, measures, writes or prints.
"""
