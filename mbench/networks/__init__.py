"""Networks: their names, their layers from shapes alone, their weights, their cost; `families` lists what there is."""
