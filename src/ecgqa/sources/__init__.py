"""Where ECGs come from: ids, record paths, patients, times and metadata of each data set."""
