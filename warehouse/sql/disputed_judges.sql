-- The judges of wordings whom people contradict too often. The parameters are how many decisions it takes, and the share
-- of them in which people must have decided as the judge leaned.
SELECT collection, judge FROM judge_agreement WHERE decided >= ? AND agreement < ?;
