//! The history that the streamer before this one has left, of which a database is taken over.

/// Name and checksum of its migrations, from V1 on.
pub(super) const FORMER: [(&str, u64); 14] = [
    ("streamer", 13_824_918_832_151_932_897),
    ("user_events", 7_526_464_001_195_358_195),
    ("dead_letters", 7_554_798_781_719_134_912),
    ("ad_events", 17_294_054_966_030_079_393),
    ("transfers", 17_163_693_251_242_555_181),
    ("gps_positions", 16_197_110_704_913_432_972),
    ("pos_sales", 3_706_575_505_038_588_674),
    ("emoji_reactions", 16_819_055_468_415_897_986),
    ("simulator_events", 6_562_033_778_046_432_472),
    ("rollup_columns", 6_216_658_674_053_468_619),
    ("rollups", 12_293_552_991_031_135_787),
    ("dataset_rollups", 892_585_782_152_813_237),
    ("views", 5_146_169_005_066_697_756),
    ("latency", 11_749_747_846_968_597_214),
];
